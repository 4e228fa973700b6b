// The instrument itself: flows that live are seen to live, and flows that are cut, or lose packets, are seen to.
import { setTimeout as sleep } from 'node:timers/promises'
import { Lab } from '../../../lab/index.ts'
import { kernelTest } from '../../helpers/index.ts'
import { describe, Flows } from './index.ts'

kernelTest('flows of every kind grow until their way is cut, and what was lost shows', async (t) => {
  await using lab = await Lab.create()
  const [server, client] = await Promise.all([lab.addHost('server', 21), lab.addHost('client', 22)])
  await using flows = await Flows.start(lab, [server, client])
  const all = flows.openAll(client, server)
  await sleep(200)
  for (const [index, grown] of (await flows.growth(all, 300)).entries()) t.true(grown > 0, describe(all[index]!))
  await client.ip('link set eth0 down')
  await sleep(100)
  t.deepEqual(await flows.growth(all, 500), all.map(() => 0))
  await client.ip('link set eth0 up')
  await sleep(300)
  const fromServer = all.find(({ protocol, sender, family }) => protocol === 'UDP' && sender === 'server' && family === 'ipv4')!
  const [tally] = await flows.tallies([fromServer])
  t.true(tally!.highest > tally!.received, 'datagrams sent meanwhile are missing')
})

kernelTest('a probe tells at both ends what came through', async (t) => {
  await using lab = await Lab.create()
  const [server, client] = await Promise.all([lab.addHost('server', 21), lab.addHost('client', 22)])
  await using flows = await Flows.start(lab, [server, client])
  const probe = flows.probe(client, server, { family: 'ipv6', intervalMs: 50 })
  await sleep(500)
  flows.stop(probe)
  await sleep(200)
  const [[atClient], [atServer]] = await Promise.all([flows.tallies([probe], 'client'), flows.tallies([probe], 'server')])
  t.true(atClient!.sent > 0)
  t.is(atClient!.received, atClient!.sent, 'every connection stood')
  t.is(atServer!.received, atClient!.sent, 'every datagram arrived')
})
