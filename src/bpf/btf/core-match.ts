/**
 * CO-RE: when a type of the program and one of the target count as the same. Three degrees: fields are compatible when
 * reading one as the other makes sense; types are compatible when their outline agrees; types match when their members
 * agree too. Flavours (`___suffix`) never count.
 */
import { type Btf, essentialName } from './btf.ts';
import * as F from './format.ts';

/** Steps through pointers, arrays and prototypes before giving up. */
const MAX_DEPTH = 32;
/** Comparisons of one relocation; real types need a few hundred. */
const MAX_WORK = 100_000;

/** Why a relocation cannot be resolved at all; the loader gives it a place. */
export class CoreError extends Error {}

const sameName = (a: string, b: string): boolean => a === b || essentialName(a) === essentialName(b);

/** The same kind; enums of 32 and 64 bits count as one. */
export function sameKind(a: Btf, aId: number, b: Btf, bId: number): boolean {
  const [x, y] = [a.kind(aId), b.kind(bId)];
  return x === y || (F.isAnyEnum(x) && F.isAnyEnum(y));
}

const plainInt = (btf: Btf, id: number): boolean => btf.int(id).bitOffset === 0;

/** Can a field of the first type be found in one of the second? */
export function fieldsCompatible(local: Btf, localType: number, target: Btf, targetType: number): boolean {
  let [l, t] = [localType, targetType];
  for (;;) {
    l = local.resolve(l);
    t = target.resolve(t);
    const kind = local.kind(l);
    if (F.isComposite(kind) && F.isComposite(target.kind(t))) return true;
    if (!sameKind(local, l, target, t)) return false;
    switch (kind) {
      case F.BTF_KIND_PTR:
      case F.BTF_KIND_FLOAT:
        return true;
      case F.BTF_KIND_FWD:
      case F.BTF_KIND_ENUM:
      case F.BTF_KIND_ENUM64: {
        const [a, b] = [local.name(l), target.name(t)];
        return a === '' || b === '' || sameName(a, b);
      }
      case F.BTF_KIND_INT:
        return plainInt(local, l) && plainInt(target, t);
      case F.BTF_KIND_ARRAY:
        l = local.array(l).elem;
        t = target.array(t).elem;
        break;
      default:
        return false;
    }
  }
}

/** Do two types of the same name agree in outline: kind by kind through pointers, arrays and prototypes? */
export function typesCompatible(local: Btf, localType: number, target: Btf, targetType: number): boolean {
  if (!sameKind(local, localType, target, targetType)) return false;
  return new Matcher(local, target).outline(localType, targetType, MAX_DEPTH);
}

/** Do two types agree in names, sizes and signs, and every member of the first with one of the second? */
export function typesMatch(local: Btf, localType: number, target: Btf, targetType: number): boolean {
  return new Matcher(local, target).types(localType, targetType, false, MAX_DEPTH);
}

class Matcher {
  readonly #local: Btf;
  readonly #target: Btf;
  /** Pairs already decided or under way: a comparison visits each pair once. */
  readonly #seen: Map<string, boolean> = new Map();
  #work = 0;

  constructor(local: Btf, target: Btf) {
    this.#local = local;
    this.#target = target;
  }

  #once(key: string, decide: () => boolean): boolean {
    const known = this.#seen.get(key);
    if (known !== undefined) return known;
    this.#spend(1);
    this.#seen.set(key, true);
    const result = decide();
    this.#seen.set(key, result);
    return result;
  }

  #spend(steps: number): void {
    this.#work += steps;
    if (this.#work > MAX_WORK) throw new CoreError('the types to compare are too large');
  }

  outline(localType: number, targetType: number, depth: number): boolean {
    return this.#once(`o ${localType} ${targetType}`, () => this.#outline(localType, targetType, depth));
  }

  #outline(localType: number, targetType: number, depth: number): boolean {
    const [local, target] = [this.#local, this.#target];
    let [l, t] = [localType, targetType];
    for (let left = depth; left > 0; left--) {
      l = local.resolve(l);
      t = target.resolve(t);
      if (!sameKind(local, l, target, t)) return false;
      switch (local.kind(l)) {
        case F.BTF_KIND_UNKN:
        case F.BTF_KIND_STRUCT:
        case F.BTF_KIND_UNION:
        case F.BTF_KIND_ENUM:
        case F.BTF_KIND_ENUM64:
        case F.BTF_KIND_FWD:
          return true;
        case F.BTF_KIND_INT:
          return plainInt(local, l) && plainInt(target, t);
        case F.BTF_KIND_PTR:
          l = local.target(l);
          t = target.target(t);
          break;
        case F.BTF_KIND_ARRAY:
          l = local.array(l).elem;
          t = target.array(t).elem;
          break;
        case F.BTF_KIND_FUNC_PROTO: {
          const [a, b] = [local.params(l), target.params(t)];
          if (a.length !== b.length) return false;
          if (!a.every((p, i) => this.outline(p.type, b[i].type, left - 1))) return false;
          l = local.target(l);
          t = target.target(t);
          break;
        }
        default:
          return false;
      }
    }
    return false;
  }

  types(localType: number, targetType: number, behindPointer: boolean, depth: number): boolean {
    return this.#once(`${localType} ${targetType} ${behindPointer}`, () =>
      this.#types(localType, targetType, behindPointer, depth),
    );
  }

  #types(localType: number, targetType: number, behindPointer: boolean, depth: number): boolean {
    const [local, target] = [this.#local, this.#target];
    let [l, t, behind] = [localType, targetType, behindPointer];
    for (let left = depth; left > 0; left--) {
      l = local.resolve(l);
      t = target.resolve(t);
      if (!sameName(local.name(l), target.name(t))) return false;
      const [kind, other] = [local.kind(l), target.kind(t)];
      switch (kind) {
        case F.BTF_KIND_UNKN:
          return kind === other;
        case F.BTF_KIND_FWD: {
          const union = local.kindFlag(l);
          if (kind === other) return union === target.kindFlag(t);
          return behind && other === (union ? F.BTF_KIND_UNION : F.BTF_KIND_STRUCT);
        }
        case F.BTF_KIND_ENUM:
        case F.BTF_KIND_ENUM64:
          return F.isAnyEnum(other) && this.#enums(l, t);
        case F.BTF_KIND_STRUCT:
        case F.BTF_KIND_UNION:
          if (!behind) return kind === other && this.#members(l, t, left);
          return kind === other || (other === F.BTF_KIND_FWD && (kind === F.BTF_KIND_UNION) === target.kindFlag(t));
        case F.BTF_KIND_INT: {
          if (kind !== other || local.sizeOf(l) !== target.sizeOf(t)) return false;
          return (local.int(l).encoding & F.BTF_INT_SIGNED) === (target.int(t).encoding & F.BTF_INT_SIGNED);
        }
        case F.BTF_KIND_PTR:
          if (kind !== other) return false;
          behind = true;
          l = local.target(l);
          t = target.target(t);
          break;
        case F.BTF_KIND_ARRAY: {
          if (kind !== other) return false;
          const [a, b] = [local.array(l), target.array(t)];
          if (a.count !== b.count) return false;
          l = a.elem;
          t = b.elem;
          break;
        }
        case F.BTF_KIND_FUNC_PROTO: {
          if (kind !== other) return false;
          const [a, b] = [local.params(l), target.params(t)];
          if (a.length !== b.length) return false;
          if (!a.every((p, i) => this.types(p.type, b[i].type, behind, left - 1))) return false;
          l = local.target(l);
          t = target.target(t);
          break;
        }
        default:
          return false;
      }
    }
    return false;
  }

  #enums(l: number, t: number): boolean {
    this.#spend(this.#local.vlen(l) + this.#target.vlen(t));
    const names = new Set(this.#target.enumerators(t).map((e) => essentialName(e.name)));
    return (
      this.#local.vlen(l) <= this.#target.vlen(t) &&
      this.#local.enumerators(l).every((e) => names.has(essentialName(e.name)))
    );
  }

  #members(l: number, t: number, depth: number): boolean {
    if (this.#local.vlen(l) > this.#target.vlen(t)) return false;
    const others = new Map<string, number[]>();
    for (const { name, type } of this.#target.members(t)) {
      const types = others.get(essentialName(name));
      if (types === undefined) others.set(essentialName(name), [type]);
      else types.push(type);
    }
    return this.#local.members(l).every(({ name, type }) => {
      const types = others.get(essentialName(name)) ?? [];
      this.#spend(types.length);
      return types.some((other) => this.types(type, other, false, depth - 1));
    });
  }
}
