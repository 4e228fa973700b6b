// Durations as people say them.

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
] as const

/** The largest unit and the one below it: "3 d 4 h", "5 min 2 s", "12 s". */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const index = UNITS.findIndex(([, size]) => seconds >= size)
  const unit = UNITS[index]
  if (unit === undefined) return `${seconds} s`
  const [name, size] = unit
  const [below, belowSize] = UNITS[index + 1] ?? ['s', 1]
  return `${Math.floor(seconds / size)} ${name} ${Math.floor((seconds % size) / belowSize)} ${below}`
}
