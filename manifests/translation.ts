// Policy sees a connection to a Service after its translation: a question about the Service's own address would be
// answered for an address that policy never compares.
import type { Cluster, Frontend } from './model.ts'

/** What to ask about instead, where an address and port are a Service's; undefined where they are not. */
export function translationHint({ services }: Pick<Cluster, 'services'>, address: string, protocol: number, port: number): string | undefined {
  const ofFrontend = (frontend: Frontend): boolean =>
    frontend.address === address && frontend.protocol === protocol && frontend.port === port
  for (const { namespace, name, frontends } of services) {
    const frontend = frontends.find(ofFrontend)
    if (frontend === undefined) continue
    const backends = frontend.backends.map((backend) => `${backend.name} with its port ${backend.port}`).join(', ')
    return `Service ${namespace}/${name}, and policies see its backends: ${backends === '' ? 'it has none' : `ask about ${backends}`}`
  }
  return undefined
}
