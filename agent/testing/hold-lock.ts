// A process that holds the lock of a state folder until it is killed.
import { StateLock } from '../lock.ts'

const lock = StateLock.acquire(process.argv[2] ?? '')
process.send?.('held')
setInterval(() => lock, 60_000)
