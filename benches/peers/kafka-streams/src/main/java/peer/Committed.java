package peer;

import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Prints the committed records of a topic, "key TAB value" a line, partition by partition in their order:
 * Committed BOOTSTRAP TOPIC. It is how two peers' outputs are compared, so it belongs to neither of them.
 */
public final class Committed {
    public static void main(String[] args) {
        Map<String, Object> settings = Map.of("bootstrap.servers", args[0], "isolation.level", "read_committed");
        PrintStream out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.UTF_8);
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> partitions = consumer.partitionsFor(args[1]).stream().map(p -> new TopicPartition(p.topic(), p.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            // The high watermark: a transaction whose commit is confirmed may not have its markers yet, and the end that
            // a reader of committed records is told lies before it then. The position passes this one once they are there.
            Map<TopicPartition, Long> end;
            try (var all = new KafkaConsumer<>(Map.<String, Object>of("bootstrap.servers", args[0]), new StringDeserializer(), new StringDeserializer())) {
                end = new HashMap<>(all.endOffsets(partitions));
            }
            while (!end.isEmpty()) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) out.print(record.key() + "\t" + record.value() + "\n");
                end.entrySet().removeIf(e -> consumer.position(e.getKey()) >= e.getValue());
            }
        }
        out.flush();
    }

    private Committed() {}
}
