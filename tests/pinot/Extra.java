import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Writes one value in a transaction that is aborted, and after it another in one that is committed. */
class Extra {
    public static void main(String[] arguments) {
        String topic = arguments[1];
        int partition = Integer.parseInt(arguments[2]);
        var settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("transactional.id", "extra");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, partition, null, arguments[3]));
            // An abort drops what was not sent yet, and nothing would be there that could be read by mistake.
            producer.flush();
            producer.abortTransaction();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, partition, null, arguments[4]));
            producer.commitTransaction();
        }
    }
}
