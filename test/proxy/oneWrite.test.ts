import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { inOneWrite } from '../../sidecar/proxy/oneWrite.ts'

/** What arrives of pieces that are written together. */
async function arriving(write: (socket: Socket) => void): Promise<Buffer> {
  const server = createServer((socket) => {
    inOneWrite(socket)
    socket.cork()
    write(socket)
    socket.uncork()
    socket.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const parts: Buffer[] = []
  client.on('data', (part: Buffer) => parts.push(part))
  await once(client, 'end')
  client.destroy()
  server.close()
  return Buffer.concat(parts)
}

test('a head and its body arrive byte for byte, in order', async () => {
  const body = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  const came = await arriving((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nx-name: caf\xe9\r\n\r\n', 'latin1')
    socket.write(body)
    socket.write('tail', 'latin1')
  })
  assert.deepEqual(came, Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nx-name: caf\xe9\r\n\r\n', 'latin1'), body, Buffer.from('tail')]))
})

test('text that is no latin1 keeps its own encoding', async () => {
  const came = await arriving((socket) => {
    socket.write('h\xe9ad', 'latin1')
    socket.write('✓', 'utf8')
    socket.write('c3a9', 'hex')
  })
  assert.deepEqual(came, Buffer.concat([Buffer.from('h\xe9ad', 'latin1'), Buffer.from('✓é')]))
})

test('pieces too long to be copied arrive whole too', async () => {
  const long = Buffer.alloc(300_000, 'x')
  const came = await arriving((socket) => {
    socket.write('head', 'latin1')
    socket.write(long)
  })
  assert.deepEqual(came, Buffer.concat([Buffer.from('head'), long]))
})

test('each write hears when its bytes are gone, and all bytes are counted', async () => {
  const heard: string[] = []
  let sender: Socket | undefined
  const came = await arriving((socket) => {
    sender = socket
    socket.write('one', 'latin1', () => heard.push('one'))
    socket.write(Buffer.from('two'), () => heard.push('two'))
  })
  assert.equal(came.toString(), 'onetwo')
  assert.deepEqual(heard, ['one', 'two'])
  assert.equal(sender?.bytesWritten, 6)
})
