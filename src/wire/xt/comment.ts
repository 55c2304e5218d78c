/** The structure of xt match `comment` revision 0 (linux/netfilter: xt_comment.h). */
import { type Codec, struct, text } from './struct.ts';

export type Comment = {
  comment: string;
};

export const comment: Codec<Comment> = struct<Comment>({
  comment: text(256),
});
