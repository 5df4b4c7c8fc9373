import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Shows where Java's own producer, all defaults, puts each key: what every other language must agree with.
 *
 * Usage: java -cp <Kafka's jars> Keys.java <bootstrap servers> <topic> <file>
 */
class Keys {
  public static void main(String[] args) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    List<Header> headers = List.of(new RecordHeader("producer", "java".getBytes(StandardCharsets.UTF_8)));
    try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
      for (String key : Files.readString(Path.of(args[2])).split("\n", -1)) {
        byte[] bytes = key.getBytes(StandardCharsets.UTF_8);
        var taken = producer.send(new ProducerRecord<>(args[1], null, null, bytes, null, headers)).get();
        System.out.println(key + ": partition " + taken.partition());
      }
    }
  }
}
