/** Match `comment`: a remark; always matches. */
import { type Comment, comment as codec } from '../../../wire/xt/comment.ts';
import { type Extension, quoted } from '../extension.ts';

export const comment: Extension<Comment> = {
  kind: 'match',
  name: 'comment',
  revision: 0,
  codec,
  options: [
    {
      name: 'comment',
      mandatory: true,
      parse(s, value) {
        s.comment = value.slice(0, 255);
      },
    },
  ],
  save: (s) => ` --comment ${quoted(s.comment)}`,
  print: (s) => ` /* ${s.comment} */`,
};
