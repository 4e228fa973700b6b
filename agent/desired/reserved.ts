// Identities that need no manifest.
import { Identity as ReservedIdentity } from '../../bpf/index.ts'
import type { Label } from '../../engine/index.ts'

/** What every address is that nothing more precise is known of. */
export const IPV4_WORLD = ReservedIdentity.WORLD_IPV4
export const IPV6_WORLD = ReservedIdentity.WORLD_IPV6

export const HOST_LABELS: readonly Label[] = ['reserved:host=']
export const REMOTE_NODE_LABELS: readonly Label[] = ['reserved:remote-node=']

/** Labels of the reserved identities, as selectors of entities ask for them. */
export const RESERVED_LABELS: ReadonlyMap<number, readonly Label[]> = new Map([
  [ReservedIdentity.HOST, HOST_LABELS],
  [ReservedIdentity.WORLD, ['reserved:world=']],
  [ReservedIdentity.UNMANAGED, ['reserved:unmanaged=']],
  [ReservedIdentity.HEALTH, ['reserved:health=']],
  [ReservedIdentity.INIT, ['reserved:init=']],
  [ReservedIdentity.REMOTE_NODE, REMOTE_NODE_LABELS],
  [ReservedIdentity.KUBE_APISERVER, ['reserved:kube-apiserver=']],
  [ReservedIdentity.INGRESS, ['reserved:ingress=']],
  [ReservedIdentity.WORLD_IPV4, ['reserved:world=', 'reserved:world-ipv4=']],
  [ReservedIdentity.WORLD_IPV6, ['reserved:world=', 'reserved:world-ipv6=']],
])
