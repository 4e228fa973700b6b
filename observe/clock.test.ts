import test from 'ava'
import { WallClock } from './clock.ts'
import type { ClockSource } from './clock.ts'

class FakeSource implements ClockSource {
  monotonic = 5_000_000_000n
  wall = Date.UTC(2026, 0, 2, 3, 4, 5)
  monotonicNs = () => this.monotonic
  wallMs = () => this.wall
  pass(seconds: number): void {
    this.monotonic += BigInt(seconds) * 1_000_000_000n
    this.wall += seconds * 1000
  }
}

test('monotonic nanoseconds become wall clock with microseconds', (t) => {
  const clock = new WallClock(new FakeSource())
  t.is(clock.isoTime(5_000_000_000n), '2026-01-02T03:04:05.000000Z')
  t.is(clock.isoTime(5_001_234_999n), '2026-01-02T03:04:05.001234Z')
  t.is(clock.isoTime(4_999_999_000n), '2026-01-02T03:04:04.999999Z')
})

test('a stepped wall clock is followed', (t) => {
  const source = new FakeSource()
  const clock = new WallClock(source)
  source.pass(2)
  source.wall += 3_600_000
  t.is(clock.isoTime(7_000_000_000n), '2026-01-02T04:04:07.000000Z')
})

test('the rounding of the wall clock does not move flows about', (t) => {
  const source = new FakeSource()
  const clock = new WallClock(source)
  source.pass(2)
  source.wall += 1
  t.is(clock.isoTime(7_000_000_000n), '2026-01-02T03:04:07.000000Z')
})

test('the system clock gives now', (t) => {
  const now = Date.now()
  const shown = Date.parse(new WallClock().isoTime(process.hrtime.bigint()))
  t.true(Math.abs(shown - now) < 1000, `${shown} is not about ${now}`)
})
