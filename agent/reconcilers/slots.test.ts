import fc from 'fast-check'
import test from 'ava'
import { type Region, SlotAllocator } from './slots.ts'

const CAPACITY = 100

function overlaps(a: Region, b: Region): boolean {
  return a.base < b.base + b.count && b.base < a.base + a.count
}

test('regions never overlap, and what is freed is there again', (t) => {
  const operation = fc.oneof(fc.record({ allocate: fc.integer({ min: 1, max: 40 }) }), fc.record({ free: fc.nat() }))
  const property = fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
    const allocator = new SlotAllocator(CAPACITY)
    const used: Region[] = []
    for (const each of operations) {
      if ('free' in each) {
        const [region] = used.splice(each.free % Math.max(1, used.length), 1)
        if (region !== undefined) allocator.free(region)
        continue
      }
      try {
        const region = allocator.allocate(each.allocate)
        if (used.some((other) => overlaps(region, other)) || region.base + region.count > CAPACITY) return false
        used.push(region)
      } catch {
        if (allocator.freeSlots === CAPACITY) return false // an empty array has room for every size asked for
      }
    }
    for (const region of used) allocator.free(region)
    return allocator.allocate(CAPACITY).count === CAPACITY
  })
  fc.assert(property)
  t.pass()
})

test('reserve takes what an earlier agent used, once, and only inside the array', (t) => {
  const allocator = new SlotAllocator(CAPACITY)
  t.true(allocator.reserve({ base: 10, count: 20 }))
  t.false(allocator.reserve({ base: 25, count: 10 }))
  t.false(allocator.reserve({ base: 95, count: 6 }))
  t.false(allocator.reserve({ base: 50, count: 0 }))
  t.is(allocator.freeSlots, 80)
  t.is(allocator.allocate(11).base, 30)
  t.throws(() => allocator.allocate(60), { code: 'CAPACITY', message: /60 slots/ })
})
