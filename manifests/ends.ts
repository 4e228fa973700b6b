// The ends of a connection that somebody asks about.
import type { Cluster } from './model.ts'

const SHOWN = 10

/** The node itself, as the entity or the label is written. */
export const isHostText = (text: string): boolean => text === 'host' || text === 'reserved:host'

/** What to say to a text that is neither an address nor a workload's name. */
export function unknownEnd({ workloads }: Pick<Cluster, 'workloads'>, text: string): string {
  const known = workloads.map(({ namespace, name }) => `${namespace}/${name}`)
  const more = known.length > SHOWN ? `, and ${known.length - SHOWN} more` : ''
  const choices = known.length === 0 ? 'is none' : `are ${known.slice(0, SHOWN).join(', ')}${more}`
  return `"${text}" is neither an address, nor the namespace/name of a workload, nor host; there ${choices}`
}
