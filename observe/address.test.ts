import test from 'ava'
import fc from 'fast-check'
import { formatAddress, parseProtocol, protocolName } from './address.ts'
import { mapped } from './fixtures.ts'

const addresses: readonly (readonly [name: string, address: Uint8Array, text: string])[] = [
  ['IPv4', mapped(10, 77, 1, 11), '10.77.1.11'],
  ['IPv4 of zeros', mapped(0, 0, 0, 0), '0.0.0.0'],
  ['all zero', groups(0, 0, 0, 0, 0, 0, 0, 0), '::'],
  ['loopback', groups(0, 0, 0, 0, 0, 0, 0, 1), '::1'],
  ['a prefix', groups(0xfd77, 1, 0, 0, 0, 0, 0, 0), 'fd77:1::'],
  ['one zero group is not shortened', groups(1, 0, 3, 4, 5, 6, 7, 8), '1:0:3:4:5:6:7:8'],
  ['the longest run is', groups(1, 0, 0, 4, 0, 0, 0, 8), '1:0:0:4::8'],
  ['of equal runs the first', groups(1, 0, 0, 4, 5, 0, 0, 8), '1::4:5:0:0:8'],
]

for (const [name, address, text] of addresses) {
  test(`address: ${name}`, (t) => t.is(formatAddress(address), text))
}

test('the text of any IPv6 address means the same address', (t) => {
  const property = fc.property(fc.array(fc.constantFrom(0, 0, 0, 1, 0xffff, 0xa0), { minLength: 8, maxLength: 8 }), (parts) => {
    const text = formatAddress(groups(...parts))
    // Mapped addresses are IPv4 here; the URL parser writes RFC 5952 too and was written by others.
    if (text.includes('.')) return new URL(`http://[::ffff:${text}]/`).hostname === new URL(`http://[${parts.map(hex).join(':')}]/`).hostname
    return new URL(`http://[${parts.map(hex).join(':')}]/`).hostname === `[${text}]`
  })
  t.notThrows(() => fc.assert(property, { numRuns: 500 }))
})

test('protocols by name, case and number', (t) => {
  t.is(protocolName(58), 'ICMPv6')
  t.is(protocolName(47), '47')
  t.is(parseProtocol('tcp'), 'TCP')
  t.is(parseProtocol('17'), 'UDP')
  t.is(parseProtocol('47'), '47')
  t.is(parseProtocol('256'), undefined)
  t.is(parseProtocol('http'), undefined)
})

function hex(part: number): string {
  return part.toString(16)
}

function groups(...parts: readonly number[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [part >> 8, part & 0xff]))
}
