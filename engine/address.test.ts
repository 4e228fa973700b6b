import test from 'ava'
import fc from 'fast-check'
import { addressOf, covers, familyOf, formatAddress, formatPrefix, parseAddress, parsePrefix, prefixCovers, prefixOf } from './address.ts'

const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
const long = groups.map((list) => list.map((group) => group.toString(16).padStart(4, '0')).join(':'))
const ipv6 = long.filter((text) => !/^(0000:){5}ffff:/.test(text))

test('IPv6 text is canonical as WHATWG URL hosts are', (t) => {
  fc.assert(
    fc.property(ipv6, (text) => {
      const address = parseAddress(text)
      t.is(address && `[${formatAddress(address)}]`, new URL(`http://[${text}]/`).hostname)
    }),
  )
})

test('formatted addresses parse to the same bytes', (t) => {
  fc.assert(
    fc.property(fc.oneof(ipv6, fc.ipV4()), (text) => {
      const address = parseAddress(text)
      t.truthy(address)
      if (address) t.deepEqual(parseAddress(formatAddress(address)), address)
    }),
  )
})

const NO_ADDRESSES = [
  ...['', '1.2.3', '1.2.3.4.5', '01.2.3.4', '256.1.1.1', '1.2.3.4\n'],
  ...[':', ':::', '1:2', '1::2::3', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7::8', '12345::', 'g::', '::1%eth0', ' ::1', '::1 '],
  ...['::ffff:1.2.3.4', '::ffff:102:304', '1.2.3.4::'],
]

for (const text of NO_ADDRESSES) {
  test(`${JSON.stringify(text)} is no address`, (t) => {
    t.is(parseAddress(text), undefined)
  })
}

test('families and forms', (t) => {
  const family = (text: string) => familyOf(parseAddress(text) ?? new Uint8Array())
  t.is(family('10.0.0.1'), 'IPv4')
  t.is(family('::'), 'IPv6')
  t.is(formatAddress(parseAddress('64:ff9b::192.0.2.33') ?? new Uint8Array()), '64:ff9b::c000:221')
})

const prefixText = fc.oneof(
  fc.tuple(fc.ipV4(), fc.nat(32)).map(([address, length]) => `${address}/${length}`),
  fc.tuple(ipv6, fc.nat(128)).map(([address, length]) => `${address}/${length}`),
)

/** The bits of a prefix as a string: the slow and obvious way. */
function bitsOf(text: string): string {
  const prefix = parsePrefix(text)
  if (!prefix) throw new Error(text)
  return [...prefix.address].map((byte) => byte.toString(2).padStart(8, '0')).join('').slice(0, prefix.length)
}

test('a prefix covers what begins with its bits', (t) => {
  fc.assert(
    fc.property(prefixText, prefixText, (a, b) => {
      const [outer, inner] = [parsePrefix(a), parsePrefix(b)]
      if (!outer || !inner) return t.fail()
      t.is(covers(outer, inner), outer.family === inner.family && bitsOf(b).startsWith(bitsOf(a)))
      t.true(covers(outer, outer))
    }),
  )
})

test('host bits are cleared and lengths checked', (t) => {
  const text = (prefix: string) => {
    const parsed = parsePrefix(prefix)
    return parsed && formatPrefix(parsed)
  }
  t.is(text('10.1.2.3/8'), '10.0.0.0/8')
  t.is(text('fd00::ffff/120'), 'fd00::ff00/120')
  t.is(text('0.0.0.0/0'), '0.0.0.0/0')
  for (const bad of ['10.0.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/-1', '10.0.0.0/8/8', '/8', '10.0.0.0/']) t.is(text(bad), undefined, bad)
})

test('an address alone is a prefix where text must be right', (t) => {
  t.is(formatPrefix(prefixOf('10.0.0.1')), '10.0.0.1/32')
  t.is(formatPrefix(prefixOf('fd00::1/16')), 'fd00::/16')
  for (const text of ['10.0.0.0/33', '10.0.0.0/8/8', 'fd00::/129', 'localhost']) t.throws(() => prefixOf(text), { code: 'INVALID' })
  t.throws(() => addressOf('10.0.0'), { code: 'INVALID' })
})

test('IPv4 addresses are in IPv4 prefixes only', (t) => {
  t.false(prefixCovers(prefixOf('::/0'), addressOf('10.0.0.1')))
  t.true(prefixCovers(prefixOf('0.0.0.0/0'), addressOf('10.0.0.1')))
  t.false(prefixCovers(prefixOf('0.0.0.0/0'), addressOf('fd00::1')))
})
