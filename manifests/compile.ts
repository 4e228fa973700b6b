// Documents of all files together -> the cluster: labels with those of the namespaces, backends of services, rules
// with their numbers, and what the documents contradict each other in.
import type { PortMatch } from '../engine/index.ts'
import { Claims } from './claims.ts'
import { Compiler, type NumberOf } from './compiler.ts'
import type { Cluster } from './model.ts'
import type { Document } from './resources.ts'

/** Numbers from 1 in the order of asking: for tools that remember nothing. */
export function counter(): NumberOf {
  const numbers = new Map<string, number>()
  return (reference) => {
    const number = numbers.get(reference) ?? numbers.size + 1
    numbers.set(reference, number)
    return number
  }
}

/**
 * Never throws: contradictions are in `errors`, and of two documents that contradict each other the first holds.
 * `hostPorts` of this node stay open whatever host policies say; `clusterName` is a label of every workload.
 */
export function compile(
  documents: readonly Document[], numberOf: NumberOf = counter(), hostPorts: readonly PortMatch[] = [], clusterName?: string,
): Cluster {
  const { settled, errors } = Claims.settle(documents)
  const compiler = new Compiler(numberOf, hostPorts, clusterName)
  compiler.change({ removed: [], added: settled })
  return { ...compiler.cluster, errors }
}
