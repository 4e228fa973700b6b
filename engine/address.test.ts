import test from 'ava'
import { formatAddress, formatPrefix, parseAddress, parsePrefix, prefixCovers, tryParseAddress } from './address.ts'

for (const [text, shown] of [
  ['10.0.0.1', '10.0.0.1'], ['::', '::'], ['::1', '::1'], ['fd00:0:0:1::', 'fd00:0:0:1::'], ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['::ffff:1.2.3.4', '1.2.3.4'], ['2001:DB8::A', '2001:db8::a'], ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
] as const) {
  test(`${text} is ${shown}`, (t) => t.is(formatAddress(parseAddress(text)), shown))
}

for (const text of ['', '10.0.0', '10.0.0.256', '10.0.0.01', '::1::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', 'fe80::g', '1:2:3:4:5:6:7:8::', 'localhost']) {
  test(`"${text}" is no address`, (t) => t.is(tryParseAddress(text), undefined))
}

test('prefixes are masked, and count from 96 for IPv4', (t) => {
  t.is(formatPrefix(parsePrefix('10.1.2.3/8')), '10.0.0.0/8')
  t.is(parsePrefix('10.0.0.0/8').length, 104)
  t.is(formatPrefix(parsePrefix('fd00::1/16')), 'fd00::/16')
  t.is(formatPrefix(parsePrefix('10.0.0.1')), '10.0.0.1/32')
  t.throws(() => parsePrefix('10.0.0.0/33'), { message: /at most 32/ })
  t.throws(() => parsePrefix('10.0.0.0/8/8'))
})

test('IPv4 addresses are in IPv4 prefixes only', (t) => {
  t.false(prefixCovers(parsePrefix('::/0'), parseAddress('10.0.0.1')))
  t.true(prefixCovers(parsePrefix('0.0.0.0/0'), parseAddress('10.0.0.1')))
  t.false(prefixCovers(parsePrefix('0.0.0.0/0'), parseAddress('fd00::1')))
})
