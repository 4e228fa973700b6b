// Texts reach the engine as they are: a selector matches the label that is written the same, and no other.

import test from 'ava'
import { addressOf, type Policy } from './index.ts'
import { smallEngine } from './testing/checks.ts'

/** Of every length around a word, in one to four bytes a character, some the beginning of others. */
const VALUES = [
  '', 'a', 'ab', 'abc', 'abcd', 'abcde', 'abcd\0', 'é', 'aé', 'abcé', '値', 'a値', '値札', '🦭', 'abc🦭', 'x'.repeat(300), `${'x'.repeat(299)}é`,
]

test('a value of any length and script is itself alone', async (t) => {
  const engine = await smallEngine()
  const mac = new Uint8Array(6)
  const rules = VALUES.map((value, index) => ({
    number: index + 1, direction: 'ingress', action: 'allow', ports: 'all',
    peers: [{ selector: { requirements: [{ key: 'k8s:größe', operator: 'In', values: [value] }] } }],
  }) as const)
  const policy: Policy = { subject: { requirements: [] }, tier: 'normal', priority: 0, isolates: { ingress: 100 }, rules, audit: false }
  engine.transaction(() => {
    engine.setEndpoint({ ifindex: 7, id: 7, identity: 300, flags: 0, mac, nodeMac: mac, namedPorts: [] })
    engine.setAddress({ address: addressOf('10.0.1.1'), prefixLength: 128, identity: 300, flags: 2, ifindex: 7, namedPorts: [] })
    engine.setPolicy('p', [policy])
    for (const [index, value] of VALUES.entries()) {
      engine.setIdentity(400 + index, [`k8s:größe=${value}`])
      engine.setAddress({ address: addressOf(`10.0.0.${index + 1}`), prefixLength: 128, identity: 400 + index, flags: 2, ifindex: 0, namedPorts: [] })
    }
  })
  const rulesThatDecide = VALUES.map((_, index) =>
    engine.verdict({ from: addressOf(`10.0.0.${index + 1}`), to: addressOf('10.0.1.1'), protocol: 6, port: 80 }).ingress?.rule)
  t.deepEqual(rulesThatDecide, VALUES.map((_, index) => index + 1))
})

test('an input that is too long is refused and nothing has changed', async (t) => {
  const engine = await smallEngine()
  engine.takeChanges()
  t.throws(() => engine.setIdentity(300, ['k8s:a=b', `k8s:long=${'x'.repeat(3 << 20)}`]), { code: 'CAPACITY', message: /larger than 8388608 bytes/ })
  t.deepEqual(engine.takeChanges(), [])
  t.notThrows(() => engine.setIdentity(300, ['k8s:a=b']))
})
