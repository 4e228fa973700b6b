import test from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { kernelTest } from '../test/helpers/index.ts'
import { isAlive, processId } from './process.ts'
import { abandonedLabs, CommandError, Lab, objectsOf, records, removeAbandonedLabs, withPort } from './index.ts'

test('IPv6 addresses with a port are bracketed', (t) => {
  t.is(withPort('10.77.0.1', 80), '10.77.0.1:80')
  t.is(withPort('fd77::1', 80), '[fd77::1]:80')
})

test('a process is known by number and start time', (t) => {
  const self = processId(process.pid)
  t.truthy(self)
  t.true(self !== undefined && isAlive(self))
  t.false(isAlive({ pid: process.pid, startTime: 1 }))
  t.is(processId(2 ** 22 + 1), undefined)
})

kernelTest('hosts of a LAN reach each other over both families, and a removed lab leaves nothing', async (t) => {
  const lab = await Lab.create()
  const server = await lab.addHost('server', 21)
  const client = await lab.addHost('client', 100)
  await server.serve('tcp:80', 'udp:53', 'echo:7')
  for (const address of [server.addresses.ipv4, server.addresses.ipv6]) {
    t.like(await client.request({ address, port: 80, bytes: 300_000 }), { outcome: 'answered', bytes: 300_000 })
    t.like(await client.request({ address, port: 80 }), { outcome: 'answered', by: 'server' })
    t.like(await client.request({ address, port: 53, protocol: 'UDP' }), { outcome: 'answered', by: 'server' })
    t.is((await client.request({ address, port: 81 })).outcome, 'refused')
    using stream = client.stream({ address, port: 7, intervalMs: 5 })
    t.true(await stream.alive())
  }
  t.is(objectsOf(lab.name).namespaces.length, 3)
  await lab[Symbol.asyncDispose]()
  t.deepEqual(objectsOf(lab.name), { processes: [], namespaces: [], bpffs: [], cgroups: [], folders: [] })
})

kernelTest('a dropped packet is a timeout, not an error', async (t) => {
  await using lab = await Lab.create()
  const client = await lab.addHost('client', 100)
  await client.ip('route add blackhole 10.77.5.0/24', 'route add unreachable 10.77.6.0/24')
  await client.ip('neighbour add 10.77.0.99 lladdr 02:77:00:00:00:63 dev eth0 nud permanent')
  t.is((await client.request({ address: '10.77.0.99', port: 80, timeoutMs: 200 })).outcome, 'timeout')
  t.is((await client.request({ address: '10.77.0.99', port: 53, protocol: 'UDP', timeoutMs: 200 })).outcome, 'timeout')
  t.is((await client.request({ address: '10.77.6.1', port: 80 })).outcome, 'unreachable')
})

kernelTest('a failing line of ip is named', async (t) => {
  await using lab = await Lab.create()
  const host = await lab.addHost('host', 30)
  const error = await t.throwsAsync(host.ip('link set lo up', 'link set nothing up'), { instanceOf: CommandError })
  t.regex(error.message, /link set nothing up ended with status \d+: Cannot find device "nothing"/)
})

kernelTest('a lab whose maker was killed is removed by the next one', async (t) => {
  const script = `
    import { Lab } from './lab/index.ts'
    const lab = await Lab.create()
    await (await lab.addHost('server', 21)).serve('tcp:80')
    console.log(lab.name)
    setInterval(() => {}, 1000)`
  const maker = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [name] = (await once(createInterface({ input: maker.stdout }), 'line')) as [string]
  t.true(records().some((record) => record.name === name))
  t.is(objectsOf(name).processes.length, 1)
  maker.kill('SIGKILL')
  await once(maker, 'close')
  t.true(abandonedLabs().includes(name))
  await removeAbandonedLabs()
  t.deepEqual(objectsOf(name), { processes: [], namespaces: [], bpffs: [], cgroups: [], folders: [] })
})
