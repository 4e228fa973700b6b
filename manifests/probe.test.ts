import test from 'ava'
import { parseProbe } from './probe.ts'

for (const [text, protocol, port] of [
  ['80/TCP', 6, 80],
  ['80', 6, 80],
  ['53/udp', 17, 53],
  ['65535/Sctp', 132, 65_535],
  ['8/ICMP', 1, 8 << 8],
  ['0/icmpv6', 58, 0],
] as const) {
  test(`${text} is port ${port} of protocol ${protocol}`, (t) => {
    t.deepEqual(parseProbe(text), { text, protocol, port })
  })
}

for (const text of ['', 'http', '0', '0/TCP', '65536', '256/ICMP', '80/', '80/HTTP', '80/6', '-1', '80/TCP/UDP', ' 80']) {
  test(`"${text}" is no port`, (t) => {
    t.is(parseProbe(text), undefined)
  })
}
