import test from 'ava'
import type { BalancedFrontend } from './balance.ts'
import { AgentDirectory } from './directory.ts'
import { InputSet } from './reconcilers/inputs.ts'
import { compile } from '../manifests/index.ts'

/** Frontends of services by "name address port". */
function directoryOf(...frontends: string[]): AgentDirectory {
  const directory = new AgentDirectory()
  const resolution = { cluster: compile([]), effective: new Map(), problems: [] }
  const nothing = { endpoints: [], links: [], attachments: [], inputs: new InputSet(), missingUplink: false }
  const toFrontend = (text: string, index: number): BalancedFrontend => {
    const [name, address, port] = text.split(' ')
    return { service: { namespace: 'demo', name }, frontend: { address, port: Number(port) }, spec: { serviceId: index + 1 } } as BalancedFrontend
  }
  directory.update({ resolution, ...nothing, frontends: frontends.map(toFrontend) }, { number: () => 300 })
  return directory
}

test('an address of services names the one of the port, and any of them for other ports', (t) => {
  const directory = directoryOf('web 10.77.8.1 80', 'api 10.77.8.1 81', 'shop 10.77.9.1 80')
  t.is(directory.serviceAt('10.77.8.1', 80), 'demo/web')
  t.is(directory.serviceAt('10.77.8.1', 81), 'demo/api')
  t.is(directory.serviceAt('10.77.9.1', 443), 'demo/shop')
  t.is(directory.serviceAt('10.77.9.2', 80), undefined)
})
