import { closedLoop, fixedRate } from './calls.ts'
import type { CallFigures, Order, StreamFigures } from './orders.ts'
import { closeStreams, countStreams, openStreams } from './streams.ts'

/** The load, a process of its own: does one order at a time and sends its figures back. */
process.on('disconnect', () => process.exit())
process.on('message', (order: Order) => {
  void obey(order).then((figures) => process.send?.(figures))
})
process.send?.('ready')

async function obey(order: Order): Promise<CallFigures | StreamFigures> {
  switch (order.do) {
    case 'closed':
      return closedLoop(order.target, order.connections, order.ms)
    case 'rate':
      return fixedRate(order.target, order.perSecond, order.ms)
    case 'open':
      return openStreams(order.target, order.streams, order.events, order.everyMs)
    case 'count':
      return countStreams()
    case 'close':
      return closeStreams()
  }
}
