// Nodes as peers and subjects: this node is `reserved:host`, the others are `reserved:remote-node`, and labels of a
// node are `node:KEY=VALUE` on either.
import type { Peer, Requirement } from '../engine/types.ts'
import { exists } from './labels.ts'

export function nodePeers(requirements: readonly Requirement[]): readonly Peer[] {
  return ['reserved:host', 'reserved:remote-node'].map((key) => ({ selector: { requirements: [exists(key), ...requirements] } }))
}
