import { probeFeatures, systemLibbpf } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'

const EPERM = 1

function playing(answer: number): ReturnType<typeof probeFeatures> {
  const reply = () => answer
  return probeFeatures({ ...systemLibbpf(), probeHelper: reply, probeMapType: reply, probeProgramType: reply })
}

kernelTest('this kernel has all that the datapath relies on', (t) => {
  t.deepEqual(probeFeatures().filter((probe) => probe.answer !== 'supported'), [])
})

kernelTest('a trial that was not allowed is inconclusive, and not a missing feature', (t) => {
  t.true(playing(-EPERM).every((probe) => probe.answer === 'inconclusive'))
  t.true(playing(0).every((probe) => probe.answer === 'unsupported'))
})
