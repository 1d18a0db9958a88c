# needs: java
cat > Web.java <<'END'
import com.sun.net.httpserver.*; import java.net.*; import java.net.http.*; import java.nio.channels.*; import java.nio.*; import java.nio.file.*;
public class Web {
  public static void main(String[] a) throws Exception {
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", e -> { e.sendResponseHeaders(200, 5); e.getResponseBody().write("hello".getBytes()); e.close(); }); server.start();
    var client = HttpClient.newHttpClient(); var uri = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/");
    for (int i = 0; i < 5; i++) System.out.println(client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString()).body());
    try (var c = FileChannel.open(Path.of("m"), StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) { var m = c.map(FileChannel.MapMode.READ_WRITE, 0, 4096); m.putInt(42); m.force(); System.out.println(Files.size(Path.of("m"))); }
    server.stop(0); System.exit(0);
  }
}
END
java -Xmx256m Web.java
