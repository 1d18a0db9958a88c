# needs: /usr/bin/python3
/usr/bin/python3 - <<'END'
import asyncio, signal, sys
async def serve(reader, writer):
    writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async def ask(n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"line {n}\n".encode()); answer = await reader.read(); writer.close(); return answer.decode().strip()
    print(await asyncio.gather(*(ask(n) for n in range(50))))
    child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    print((await child.communicate(b"through a pipe"))[0])
    local = await asyncio.start_unix_server(serve, "socket")
    reader, writer = await asyncio.open_unix_connection("socket")
    writer.write(b"local\n"); print(await reader.read())
    done = asyncio.Event(); asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, done.set)
    import os; os.kill(os.getpid(), signal.SIGUSR1); await done.wait()
    print(await asyncio.to_thread(sum, range(10)))
asyncio.run(main())
END
