// Prefilters of all documents together.
import type { Changes, Prefilter, SourceRanges } from '../../manifests/index.ts'

/** Another object after every change. */
export interface WholePrefilter {
  readonly ranges: SourceRanges
  /** Names of the documents, by prefix: the first that has it. */
  readonly documents: ReadonlyMap<string, string>
}

export class Prefilters {
  readonly #documents = new Set<Prefilter>()
  #whole: WholePrefilter | undefined

  get whole(): WholePrefilter {
    return (this.#whole ??= union([...this.#documents]))
  }

  change({ removed, added }: Changes<Prefilter>): void {
    if (removed.length + added.length > 0) this.#whole = undefined
    for (const prefilter of removed) this.#documents.delete(prefilter)
    for (const prefilter of added) this.#documents.add(prefilter)
  }
}

/** No prefix stands in both lists: documents that say so contradict each other. */
function union(prefilters: readonly Prefilter[]): WholePrefilter {
  const all = (list: keyof SourceRanges): string[] => [...new Set(prefilters.flatMap(({ ranges }) => ranges[list]))]
  const documents = new Map<string, string>()
  for (const { name, ranges } of prefilters.toReversed()) for (const prefix of [...ranges.deny, ...ranges.allow]) documents.set(prefix, name)
  return { ranges: { allow: all('allow'), deny: all('deny') }, documents }
}
