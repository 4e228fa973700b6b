// Nodes as peers and subjects: this node is `reserved:host`, the others are `reserved:remote-node`, and labels of a
// node are `node:KEY=VALUE` on either.
import { formatAddress, parseAddress, type Peer, type Requirement } from '../engine/index.ts'
import type { Value } from './document/schema.ts'
import type { node } from './kubernetes/schemas.ts'
import { exists } from './labels.ts'
import type { Node } from './model.ts'
import type { NodeResource } from './resources.ts'

export function readNode({ metadata, status }: Value<typeof node>): NodeResource {
  // Names of a node stand among its addresses too.
  const addresses = (status?.addresses ?? []).flatMap(({ address }) => {
    const bytes = parseAddress(address)
    return bytes === undefined ? [] : [formatAddress(bytes)]
  })
  return { kind: 'Node', namespace: '', name: metadata.name, labels: metadata.labels ?? {}, addresses }
}

export function compileNode({ name, labels, addresses }: NodeResource): Node {
  return { name, labels: Object.entries(labels).map(([key, value]) => `node:${key}=${value}`).sort(), addresses }
}

export function nodePeers(requirements: readonly Requirement[]): readonly Peer[] {
  return ['reserved:host', 'reserved:remote-node'].map((key) => ({ selector: { requirements: [exists(key), ...requirements] } }))
}
