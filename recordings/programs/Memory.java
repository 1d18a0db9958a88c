import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Programs that hold memory in known ways: {@code Memory SCENARIO}. Each tick stands for a second of requests. */
final class Memory {
    private static final int KIB = 1024;
    private final Random random = new Random(7);

    private double load(int tick) {
        return 1.0 + 0.4 * Math.sin(tick / 170.0) + 0.3 * (random.nextDouble() - 0.5);
    }

    /** Garbage that the collector takes back. */
    private void garbage(int tick) {
        List<byte[]> requests = new ArrayList<>();
        for (int i = 0; i < (int) (60 * load(tick)); i++) {
            requests.add(new byte[16 * KIB]);
        }
    }

    private interface Scenario {
        void tick(int tick);
    }

    private Scenario scenario(String name) {
        List<byte[]> kept = new ArrayList<>();
        switch (name) {
            case "leak-listeners":
                return tick -> {
                    garbage(tick);
                    for (int i = 0; i < (int) (5 * load(tick)); i++) {
                        kept.add(new byte[16 * KIB]);
                    }
                };
            case "leak-then-clear":
                // Loses memory for a quarter of an hour, then a redeployment gives it back.
                return tick -> {
                    garbage(tick);
                    if (tick % 900 == 899) {
                        kept.clear();
                        System.gc();
                    }
                    for (int i = 0; i < (int) (9 * load(tick)); i++) {
                        kept.add(new byte[16 * KIB]);
                    }
                };
            case "gc-sawtooth":
                return this::garbage;
            case "cache-plateau":
                Map<Integer, byte[]> cache = new LinkedHashMap<>(16, 0.75f, true) {
                    @Override
                    protected boolean removeEldestEntry(Map.Entry<Integer, byte[]> eldest) {
                        return size() > 6_000;
                    }
                };
                return tick -> {
                    garbage(tick);
                    for (int i = 0; i < (int) (8 * load(tick)); i++) {
                        cache.put(random.nextInt(20_000), new byte[16 * KIB]);
                    }
                };
            case "queue-bursts":
                ArrayDeque<byte[]> queue = new ArrayDeque<>();
                return tick -> {
                    garbage(tick);
                    boolean isBurst = tick % 600 < 120;
                    for (int i = 0; i < (isBurst ? 40 : 4); i++) {
                        queue.add(new byte[16 * KIB]);
                    }
                    for (int i = 0; i < 14 && !queue.isEmpty(); i++) {
                        queue.poll();
                    }
                };
            default:
                throw new IllegalArgumentException("unknown scenario: " + name);
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        Scenario scenario = new Memory().scenario(arguments[0]);
        for (int tick = 0; ; tick++) {
            scenario.tick(tick);
            Thread.sleep(1000);
        }
    }
}
