// The vocabulary in which the schemas of the kinds are written. A schema is data; `validate.ts` walks a document
// along it, and `Value<S>` is the type of what comes out, so that neither is written twice.

/** A constraint on a string: `allowed` is what an error says. */
export interface Format {
  readonly allowed: string
  readonly accepts: (text: string) => boolean
}

export type Schema =
  | { readonly type: 'string'; readonly format?: Format; readonly values?: readonly string[] }
  | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'boolean' }
  /** Kubernetes' IntOrString. */
  | { readonly type: 'integerOrString'; readonly minimum: number; readonly maximum: number; readonly format: Format }
  | { readonly type: 'list'; readonly items: Schema; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'map'; readonly keys: Format; readonly values: Schema }
  | ObjectSchema
  /** Known, and refused: ignoring it would enforce something else than what is written. */
  | { readonly type: 'unsupported'; readonly instead: string }
  /** Accepted unseen: it has no effect on traffic. */
  | { readonly type: 'ignored' }

export interface ObjectSchema {
  readonly type: 'object'
  readonly fields: { readonly [name: string]: Schema }
  readonly required: readonly string[]
  /** Fields that are not listed are ignored: for what Kubernetes owns and network policy does not read. */
  readonly open: boolean
}

/** What a validated value of schema `S` is. A field with null is absent, as in Kubernetes. */
export type Value<S> = S extends { type: 'string'; values: readonly (infer V)[] }
  ? V
  : S extends { type: 'string' }
    ? string
    : S extends { type: 'integer' }
      ? number
      : S extends { type: 'boolean' }
        ? boolean
        : S extends { type: 'integerOrString' }
          ? number | string
          : S extends { type: 'list'; items: infer I }
            ? readonly Value<I>[]
            : S extends { type: 'map'; values: infer V }
              ? { readonly [key: string]: Value<V> }
              : S extends { type: 'object'; fields: infer F; required: readonly (infer R)[] }
                ? { readonly [K in keyof F as K extends R ? K : never]: Value<F[K]> } & {
                    readonly [K in keyof F as K extends R ? never : K]?: Value<F[K]>
                  }
                : undefined

type Fields = { readonly [name: string]: Schema }

export const string = (format?: Format) => ({ type: 'string', ...(format && { format }) }) as const

export const oneOf = <const V extends readonly string[]>(...values: V) => ({ type: 'string', values }) as const

export const integer = (minimum: number, maximum: number) => ({ type: 'integer', minimum, maximum }) as const

export const boolean = { type: 'boolean' } as const

export const integerOrString = (minimum: number, maximum: number, format: Format) =>
  ({ type: 'integerOrString', minimum, maximum, format }) as const

export const list = <const I extends Schema>(items: I, minimum = 0, maximum = 65_536) =>
  ({ type: 'list', items, minimum, maximum }) as const

export const map = <const V extends Schema>(keys: Format, values: V) => ({ type: 'map', keys, values }) as const

export const object = <const F extends Fields, const R extends keyof F & string = never>(
  fields: F,
  required: readonly R[] = [],
) => ({ type: 'object', fields, required, open: false }) as const

/** An object of which only these fields matter here. */
export const open = <const F extends Fields, const R extends keyof F & string = never>(
  fields: F,
  required: readonly R[] = [],
) => ({ type: 'object', fields, required, open: true }) as const

export const unsupported = (instead: string) => ({ type: 'unsupported', instead }) as const

export const ignored = { type: 'ignored' } as const
