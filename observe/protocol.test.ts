import test from 'ava'
import { parseProtocol, protocolName } from './protocol.ts'

test('protocols by name, case and number', (t) => {
  t.is(protocolName(58), 'ICMPv6')
  t.is(protocolName(47), '47')
  t.is(parseProtocol('tcp'), 'TCP')
  t.is(parseProtocol('17'), 'UDP')
  t.is(parseProtocol('47'), '47')
  t.is(parseProtocol('256'), undefined)
  t.is(parseProtocol('http'), undefined)
})
