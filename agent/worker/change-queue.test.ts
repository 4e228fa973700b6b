import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { ChangeQueue } from './change-queue.ts'

/** Holds a set of words; the datapath takes those that are no longer than `room` together. */
function setUp(room = 100) {
  const words: string[] = []
  const carried: string[] = []
  const queue = new ChangeQueue(async () => {
    await setImmediate()
    if (words.join('').length > room) throw new Error(`no room for ${words.join()}`)
    carried.push(words.join())
  })
  const put = (word: string): Promise<string> =>
    queue.submit(() => {
      if (words.includes(word)) throw new Error(`${word} is there`)
      words.push(word)
      return { undo: () => void words.splice(words.indexOf(word), 1), answer: () => `put ${word}` }
    })
  return { words, carried, put }
}

test('what waits is carried out together, and each is answered', async (t) => {
  const { carried, put } = setUp()
  t.deepEqual(await Promise.all(['a', 'b', 'c'].map(put)), ['put a', 'put b', 'put c'])
  t.deepEqual(carried, ['a', 'a,b,c'])
})

test('a refused change does not hinder the others', async (t) => {
  const { words, put } = setUp()
  const [, again, b] = await Promise.allSettled([put('a'), put('a'), put('b')])
  t.is(again?.status === 'rejected' ? again.reason.message : '', 'a is there')
  t.is(b?.status, 'fulfilled')
  t.deepEqual(words, ['a', 'b'])
})

test('of several that do not fit together those are taken that fit alone, in their order', async (t) => {
  const { words, put } = setUp(6)
  const results = await Promise.allSettled([put('one'), put('two'), put('three'), put('x')])
  t.deepEqual(results.map(({ status }) => status), ['fulfilled', 'fulfilled', 'rejected', 'rejected'])
  t.deepEqual(words, ['one', 'two'])
})

test('after a failure the next change is carried out', async (t) => {
  const { put } = setUp(3)
  await t.throwsAsync(put('long word'), { message: /no room/ })
  t.is(await put('abc'), 'put abc')
})

test('a change that cannot be taken back is told why, and those that wait go on', async (t) => {
  const queue = new ChangeQueue(() => Promise.reject(new Error('no room')))
  const undo = (): never => { throw new Error('the store is full') }
  const stuck = queue.submit(() => ({ undo, answer: () => 'done' }))
  await t.throwsAsync(stuck, { message: 'the store is full' })
  await t.throwsAsync(queue.submit(() => ({ undo: () => undefined, answer: () => 'done' })), { message: 'no room' })
})
