# needs: java
cat > Hello.java <<'END'
import java.nio.file.*; import java.util.*; import java.util.concurrent.*; import java.util.stream.*;
public class Hello {
  public static void main(String[] a) throws Exception {
    System.out.println(IntStream.range(0, 100000).parallel().mapToLong(n -> n).sum());
    var pool = Executors.newFixedThreadPool(4); List<Future<Integer>> all = new ArrayList<>();
    for (int i = 0; i < 20; i++) { int n = i; all.add(pool.submit(() -> n * n)); }
    int s = 0; for (var f : all) s += f.get(); System.out.println(s); pool.shutdown();
    Path p = Files.createTempFile(Path.of("."), "x", "y"); Files.writeString(p, "text"); System.out.println(Files.size(p));
    var process = new ProcessBuilder("echo", "child").start(); System.out.print(new String(process.getInputStream().readAllBytes())); System.exit(process.waitFor() + 0);
  }
}
END
java -Xmx256m Hello.java
