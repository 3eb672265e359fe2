package murmur2;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Random;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.utils.Utils;

/**
 * Writes 10,000 random keys with the hash and the partitions that Kafka's Java client gives them: Vectors FILE.
 *
 * A line: the key in hexadecimal, the hash as a signed number, and the partition for each of COUNTS, between tabs.
 */
public final class Vectors {
    private static final int[] COUNTS = {1, 3, 4, 7, 12, 64};
    private static final int KEYS = 10_000;
    private static final int LONGEST = 64;
    private static final long SEED = 20_260_214;

    public static void main(String[] args) throws IOException {
        Random random = new Random(SEED);
        StringBuilder text = new StringBuilder("key\thash");
        for (int count : COUNTS) text.append('\t').append(count);
        text.append('\n');
        for (int i = 0; i < KEYS; i++) {
            // The first 65 keys have each length once, the empty key among them.
            byte[] key = new byte[i <= LONGEST ? i : random.nextInt(LONGEST + 1)];
            random.nextBytes(key);
            int hash = Utils.murmur2(key);
            text.append(HexFormat.of().formatHex(key)).append('\t').append(hash);
            for (int count : COUNTS) {
                int partition = BuiltInPartitioner.partitionForKey(key, count);
                if (partition != Utils.toPositive(hash) % count) throw new AssertionError("the client disagrees with itself");
                text.append('\t').append(partition);
            }
            text.append('\n');
        }
        Files.writeString(Path.of(args[0]), text);
    }

    private Vectors() {}
}
