import test from 'ava'
import { AgentDirectory } from './directory.ts'
import { Tables } from './tables.ts'

test('names follow the tables, and what flows that were may carry stays known', (t) => {
  const tables = new Tables()
  const directory = new AgentDirectory(tables)
  tables.identities.set({ number: 300, labels: ['k8s:app=web'], reserved: false, addresses: 1 })
  tables.addresses.set({ prefix: 'fd77:1::11/128', identity: 300, labels: [], workload: 'demo/web', flags: ['workload'] })
  const rules = [{ number: 5, text: 'NetworkPolicy demo/web ingress[0]', direction: 'ingress', action: 'allow' }] as const
  tables.policies.set({ kind: 'NetworkPolicy', namespace: 'demo', name: 'web', source: 'folder', rules, state: 'enforced' })
  tables.interfaces.set({ ifindex: 7, name: 'sl-web', up: true, addresses: [] })
  t.deepEqual(directory.labels(300), ['k8s:app=web'])
  t.is(directory.workload('fd77:1::11'), 'demo/web')
  t.is(directory.policy(5), 'NetworkPolicy demo/web ingress[0]')
  t.is(directory.interfaceName(7), 'sl-web')
  for (const table of tables.all) table.replaceAll([])
  t.is(directory.workload('fd77:1::11'), undefined, 'an address may be another workload’s by now')
  t.deepEqual([directory.labels(300), directory.policy(5), directory.interfaceName(7)], [['k8s:app=web'], 'NetworkPolicy demo/web ingress[0]', 'sl-web'])
})

test('reserved identities are known from the start', (t) => {
  t.deepEqual(new AgentDirectory(new Tables()).labels(1), ['reserved:host='])
})

test('an address of services names the one of the port, and any of them for other ports', (t) => {
  const tables = new Tables()
  const directory = new AgentDirectory(tables)
  const add = (name: string, address: string, port: number): void => {
    const rest = { algorithm: 'maglev', tableSize: 251, backends: [], state: 'no-backend' } as const
    tables.services.set({ id: port, kind: 'Service', namespace: 'demo', name, address, port, protocol: 'TCP', forwarding: 'nat', ...rest })
  }
  add('web', '10.77.8.1', 80)
  add('api', '10.77.8.1', 81)
  add('shop', '10.77.9.1', 80)
  t.is(directory.serviceAt('10.77.8.1', 80), 'demo/web')
  t.is(directory.serviceAt('10.77.8.1', 81), 'demo/api')
  t.is(directory.serviceAt('10.77.9.1', 443), 'demo/shop')
  t.is(directory.serviceAt('10.77.9.2', 80), undefined)
  tables.services.replaceAll([])
  t.is(directory.serviceAt('10.77.8.1', 80), undefined)
})
