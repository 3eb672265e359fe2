import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Timestamp;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.pinot.segment.local.segment.creator.TransformPipeline;
import org.apache.pinot.segment.local.utils.SchemaUtils;
import org.apache.pinot.segment.local.utils.TableConfigUtils;
import org.apache.pinot.spi.config.TableConfigs;
import org.apache.pinot.spi.data.FieldSpec;
import org.apache.pinot.spi.data.readers.GenericRow;
import org.apache.pinot.spi.utils.JsonUtils;

/**
 * Asks Pinot's own code whether it takes the tables, and whether it makes of the topics' records what is in them.
 *
 * <p>Arguments: the directory of the tables, and a file of records, {"topic", "value"} a line, of every table's topic.
 */
class Validate {
    public static void main(String[] arguments) throws Exception {
        Map<String, JsonNode> records = new HashMap<>();
        for (String line : Files.readAllLines(Path.of(arguments[1]))) {
            JsonNode record = JsonUtils.stringToJsonNode(line);
            records.putIfAbsent(record.get("topic").asText(), record.get("value"));
        }
        try (var files = Files.newDirectoryStream(Path.of(arguments[0]), "*.json")) {
            for (Path file : files) {
                TableConfigs table = validate(Files.readString(file));
                String topic = topic(JsonUtils.stringToJsonNode(Files.readString(file))).get("stream.kafka.topic.name").asText();
                expect(records.containsKey(topic), "there is no record of " + topic + " to try " + file + " with");
                readAsWritten(table, records.get(topic));
                System.out.println(table.getTableName() + ": valid, and each column is filled from " + topic);
            }
        }
        String upsert = Files.readString(Path.of(arguments[0], "running_totals.json"));
        mustBeRefused(upsert, table -> ((ObjectNode) table.get("schema")).remove("primaryKeyColumns"));
        mustBeRefused(upsert, table -> ((ObjectNode) table.get("realtime")).remove("routing"));
        mustBeRefused(upsert, table -> topic(table).remove("stream.kafka.topic.name"));
        mustBeRefused(upsert, table -> ((ObjectNode) table.get("realtime")).put("upsert", true));
        System.out.println("without a key, a routing or a topic, or with a setting that is not known, it is refused");
    }

    /** What the controller does with a table that is added. */
    static TableConfigs validate(String text) throws Exception {
        var read = JsonUtils.stringToObjectAndUnrecognizedProperties(text, TableConfigs.class);
        expect(read.getRight().isEmpty(), "unknown settings: " + read.getRight());
        TableConfigs table = read.getLeft();
        SchemaUtils.validate(table.getSchema(), List.of(table.getRealtime()));
        TableConfigUtils.validate(table.getRealtime(), table.getSchema());
        return table;
    }

    /** Passes a record through what a server does with it before it is stored. */
    static void readAsWritten(TableConfigs table, JsonNode value) throws Exception {
        GenericRow row = new GenericRow();
        JsonUtils.bytesToMap(value.toString().getBytes()).forEach(row::putValue);
        List<GenericRow> rows = new TransformPipeline(table.getRealtime(), table.getSchema()).processRow(row).getTransformedRows();
        expect(rows.size() == 1, "a record gives " + rows.size() + " rows");
        Set<String> columns = new TreeSet<>(), fields = new TreeSet<>();
        value.fieldNames().forEachRemaining(fields::add);
        for (FieldSpec column : table.getSchema().getAllFieldSpecs()) {
            columns.add(column.getName());
            Object stored = rows.get(0).getValue(column.getName());
            String wanted = value.path(column.getName()).asText();
            boolean same = switch (column.getDataType()) {
                case TIMESTAMP -> ((Long) stored) == Timestamp.valueOf(wanted).getTime();
                case BOOLEAN -> ((Integer) stored == 1) == Boolean.parseBoolean(wanted);
                case BIG_DECIMAL -> ((BigDecimal) stored).compareTo(new BigDecimal(wanted)) == 0;
                default -> stored.toString().equals(wanted);
            };
            expect(same, table.getTableName() + "." + column.getName() + " is " + stored + " and not " + wanted);
        }
        expect(columns.equals(fields), table.getTableName() + " has " + columns + ", its topic " + fields);
    }

    static void mustBeRefused(String text, Consumer<JsonNode> break_) throws Exception {
        JsonNode table = JsonUtils.stringToJsonNode(text);
        break_.accept(table);
        try {
            validate(table.toString());
        } catch (Exception refused) {
            return;
        }
        throw new IllegalStateException("this passes for a valid table: " + table);
    }

    static ObjectNode topic(JsonNode table) {
        return (ObjectNode) table.at("/realtime/ingestionConfig/streamIngestionConfig/streamConfigMaps/0");
    }

    static void expect(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }
}
