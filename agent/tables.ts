// The tables that the API lists and watches. The worker fills its own (table-filler.ts); the main thread has a copy.
import type * as api from './api/types.ts'
import { Table } from './table.ts'

/** What became of one item, as JSON, which threads exchange faster than objects; none: it is gone. */
export interface TableChange {
  readonly table: string
  readonly key: string
  readonly item?: string
}

export class Tables {
  readonly endpoints = new Table<api.Endpoint>('endpoints', ({ name }) => name)
  readonly identities = new Table<api.Identity>('identities', ({ number }) => String(number))
  readonly addresses = new Table<api.Address>('addresses', ({ prefix }) => prefix)
  readonly policies = new Table<api.PolicyItem>('policies', ({ kind, namespace, name }) => `${kind}/${namespace}/${name}`)
  readonly services = new Table<api.Service>('services', ({ address, port, protocol }) => `${address} ${port}/${protocol}`)
  readonly prefilter = new Table<api.PrefilterItem>('prefilter', ({ prefix }) => prefix)
  readonly backends = new Table<api.Backend>('backends', ({ number }) => String(number))
  readonly programs = new Table<api.Program>('programs', ({ pin }) => pin)
  readonly maps = new Table<api.MapItem>('maps', ({ name }) => name)
  readonly interfaces = new Table<api.Interface>('interfaces', ({ ifindex }) => String(ifindex))

  get all(): readonly Table<unknown>[] {
    const { endpoints, identities, addresses, policies, services, prefilter, backends, programs, maps, interfaces } = this
    return [endpoints, identities, addresses, policies, services, prefilter, backends, programs, maps, interfaces] as unknown as readonly Table<unknown>[]
  }

  /** Changes of other `Tables`, in order. */
  apply(changes: readonly TableChange[]): void {
    const byName = new Map(this.all.map((table) => [table.name, table]))
    for (const { table, key, item } of changes) {
      if (item === undefined) byName.get(table)?.delete(key)
      else byName.get(table)?.setText(item)
    }
  }
}
