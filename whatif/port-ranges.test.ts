import test from 'ava'
import { describePortRanges, formatPortRanges, parsePortRange } from './port-ranges.ts'
import { LAST_KEY } from './segments.ts'

for (const [text, first, last] of [
  ['80', 0x6_0050, 0x6_0050],
  ['80/udp', 0x11_0050, 0x11_0050],
  ['8000-8100/TCP', 0x6_1f40, 0x6_1fa4],
  ['UDP', 0x11_0000, 0x11_ffff],
  ['8/ICMP', 0x1_0800, 0x1_08ff],
  ['all', 0, LAST_KEY],
] as const) {
  test(`${text} is what it says, there and back`, (t) => {
    t.deepEqual(parsePortRange(text), { first, last })
    t.is(formatPortRanges([{ first, last }]).join(), text === '80' ? '80/TCP' : text.replace('udp', 'UDP'))
  })
}

for (const text of ['', '0', '80-', '90-80/TCP', '80/HTTP', '65536', 'tcp/80', '-80']) {
  test(`'${text}' is no port`, (t) => t.is(parsePortRange(text), undefined))
}

test('ranges over several protocols are told one by one, or by what is missing', (t) => {
  const but80 = [{ first: 0, last: 0x6_004f }, { first: 0x6_0051, last: LAST_KEY }]
  t.deepEqual(formatPortRanges(but80), ['ICMP', '0-79/TCP', '81-65535/TCP', 'UDP', 'ICMPv6', 'SCTP', 'other protocols'])
  t.is(describePortRanges(but80), 'all but 80/TCP')
  t.is(describePortRanges([{ first: 0x6_0050, last: 0x6_0051 }]), '80-81/TCP')
})
