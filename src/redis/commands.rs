//! Commands for Redis, packed as they go over the wire.

use redis::Cmd;

/// What a record leads to in Redis: commands, in order. A closure of [`commands`](super::RedisSinkBuilder::commands) adds
/// to it.
///
/// Each command must have exactly one answer and must not wait for anything: nothing that subscribes (`SUBSCRIBE`,
/// `MONITOR`) or blocks (`BLPOP`). A command may be sent again, so it should be one that can be repeated: `HSET` of a
/// value and not `HINCRBY` of a difference.
#[derive(Debug, Default)]
pub struct Commands {
    packed: Vec<u8>,
    list: Vec<Packed>,
}

/// One command among the packed ones.
#[derive(Clone, Copy, Debug)]
struct Packed {
    /// Where its bytes end.
    end: usize,
    /// Its answer is the number of those who have heard it.
    is_publish: bool,
}

impl Commands {
    /// `PUBLISH channel message`: whoever is subscribed to the channel at that moment gets the message, nobody else ever.
    pub fn publish(&mut self, channel: impl AsRef<[u8]>, message: impl AsRef<[u8]>) -> &mut Self {
        self.add("PUBLISH", [channel.as_ref(), message.as_ref()], true)
    }

    /// `HSET hash field value`: the field has this value from then on.
    pub fn set(&mut self, hash: impl AsRef<[u8]>, field: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.add("HSET", [hash.as_ref(), field.as_ref(), value.as_ref()], false)
    }

    /// `HDEL hash field`: the field is gone.
    pub fn delete(&mut self, hash: impl AsRef<[u8]>, field: impl AsRef<[u8]>) -> &mut Self {
        self.add("HDEL", [hash.as_ref(), field.as_ref()], false)
    }

    /// Any other command, such as `("SET", &[b"key", b"value"])`.
    pub fn command(&mut self, name: &str, arguments: &[&[u8]]) -> &mut Self {
        self.add(name, arguments.iter().copied(), false)
    }

    fn add<'a>(&mut self, name: &str, arguments: impl IntoIterator<Item = &'a [u8]>, is_publish: bool) -> &mut Self {
        let mut command = Cmd::new();
        command.arg(name);
        for argument in arguments {
            command.arg(argument);
        }
        self.packed.extend(command.get_packed_command());
        self.list.push(Packed { end: self.packed.len(), is_publish });
        self
    }

    /// How many commands there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.packed.len()
    }

    /// The bytes of all commands after the first `done`.
    pub(super) fn after(&self, done: usize) -> &[u8] {
        &self.packed[self.end_of(done)..]
    }

    /// True where the answer to this command says how many have heard it.
    pub(super) fn is_publish(&self, number: usize) -> bool {
        self.list.get(number).is_some_and(|command| command.is_publish)
    }

    /// Forgets all commands after the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.packed.truncate(self.end_of(count));
        self.list.truncate(count);
    }

    /// Where the bytes of the first `count` commands end.
    fn end_of(&self, count: usize) -> usize {
        count.checked_sub(1).and_then(|last| self.list.get(last)).map_or(0, |command| command.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_packed_as_redis_reads_them_and_can_be_cut_anywhere() {
        let mut commands = Commands::default();
        commands.publish("ticker", "1 \r\n").set("h", "f", "2").delete("h", "f").command("SET", &[b"k", b"\0"]);
        let all: &[u8] = b"*3\r\n$7\r\nPUBLISH\r\n$6\r\nticker\r\n$4\r\n1 \r\n\r\n*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\n2\r\n\
            *3\r\n$4\r\nHDEL\r\n$1\r\nh\r\n$1\r\nf\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n\0\r\n";
        assert_eq!((commands.after(0), commands.len(), commands.bytes()), (all, 4, all.len()));
        assert_eq!(commands.after(3), b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n\0\r\n");
        assert_eq!([0, 1, 2, 3].map(|number| commands.is_publish(number)), [true, false, false, false]);
        commands.truncate(1);
        assert_eq!((commands.len(), commands.after(0)), (1, &all[..39]));
        commands.truncate(0);
        assert!(commands.is_empty() && commands.after(0).is_empty());
    }
}
