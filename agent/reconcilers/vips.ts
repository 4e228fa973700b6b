// Addresses that the balancer serves: what is for them and cannot be read is dropped, and who asks for an echo gets it.
import { setKeys } from './contents.ts'
import type { MapPort } from './ports.ts'
import type { FrontendSpec } from './services.ts'

/** Makes the map `vips` hold the addresses of the frontends whose packets XDP takes. */
export function reconcileVips(map: MapPort, frontends: readonly Pick<FrontendSpec, 'address' | 'forwarding'>[]): void {
  setKeys(map, frontends.filter(({ forwarding }) => forwarding !== 'nat').map(({ address }) => address))
}
