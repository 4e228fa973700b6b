// Keys of segments as ranges of ports, one protocol each.

export interface PortsOfProtocol {
  readonly protocol: number
  readonly first: number
  readonly last: number
}

/** `keys`: ascending. Neighbours are one range, which allows nothing more. */
export function rangesOf(keys: readonly number[]): readonly PortsOfProtocol[] {
  return keys.reduce<PortsOfProtocol[]>((ranges, key) => {
    const [protocol, port] = [key >>> 16, key & 0xffff]
    const previous = ranges.at(-1)
    if (previous?.protocol === protocol && previous.last + 1 === port) ranges[ranges.length - 1] = { ...previous, last: port }
    else ranges.push({ protocol, first: port, last: port })
    return ranges
  }, [])
}
