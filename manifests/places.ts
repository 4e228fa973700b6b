// Where the values of a document stand, for tools that find something about it later: documents themselves keep only
// where they begin.
import { isScalar } from 'yaml'
import type { Path } from './document/errors.ts'
import type { Source } from './document/source.ts'
import type { Location, RuleReference } from './model.ts'
import { resourceSources } from './parse.ts'

export interface ValuePlace extends Location {
  /** As text: `spec.ingress[0]`. */
  readonly path: string
}

/** The documents of one file. */
export class Places {
  readonly #sources: ReadonlyMap<string, Source>

  /** `wanted`: where the documents begin that are to be looked into; no others are kept, since parsed ones are large. */
  constructor(text: string, file: string, wanted: readonly Location[]) {
    const keys = new Set(wanted.map(keyOf))
    const isWanted = (source: Source): boolean => keys.has(keyOf(source.location))
    this.#sources = new Map(resourceSources(text, file, isWanted).map((source) => [keyOf(source.location), source]))
  }

  /** A value of the document that begins at `location`; the nearest that is there, where it is not. */
  locate(location: Location, path: Path): ValuePlace | undefined {
    return this.#sources.get(keyOf(location))?.locate(path)
  }

  /** Text of a document's annotation; undefined where it has none of that name. */
  annotation(location: Location, name: string): string | undefined {
    const node = this.#sources.get(keyOf(location))?.nodeAt(['metadata', 'annotations', name])
    return isScalar(node) && typeof node.value === 'string' ? node.value : undefined
  }
}

const keyOf = ({ line, column }: Location): string => `${line}:${column}`

/** The path of a rule in its document, or of the direction that it closes by default. */
export function pathOfRule({ spec, direction, list = direction, action, index, field }: RuleReference): Path {
  const root = spec === undefined ? ['spec'] : ['specs', spec]
  if (action === 'default-deny') return [...root, direction]
  return [...root, list, index, ...(field === undefined ? [] : [field])]
}
