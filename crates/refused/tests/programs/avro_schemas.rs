use bus::AvroSchema;

#[derive(AvroSchema)]
struct Flat {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(AvroSchema)]
struct Inner {
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
}

#[derive(AvroSchema)]
struct OneWay {
    #[serde(rename(serialize = "a", deserialize = "b"))]
    text: String,
}

#[derive(AvroSchema)]
struct Hidden {
    #[serde(skip_serializing)]
    text: String,
}

#[derive(AvroSchema)]
struct Special {
    #[serde(with = "somewhere")]
    time: u64,
}

#[derive(AvroSchema)]
#[serde(rename_all = "kebab-case")]
struct Dashes {
    user_id: u64,
}

#[derive(AvroSchema)]
enum Shape {
    Circle(f64),
}

#[derive(AvroSchema)]
#[serde(tag = "type")]
enum Tagged {
    One,
}

#[derive(AvroSchema)]
struct Generic<T> {
    value: T,
}

#[derive(AvroSchema)]
struct Pair(u32, u32);

#[derive(AvroSchema)]
#[avro(namespace = "com.1st")]
struct Numbered {
    id: u64,
}

#[derive(AvroSchema)]
#[avro(name = "Other")]
struct Named {
    id: u64,
}

#[derive(AvroSchema)]
struct Money {
    #[avro(decimal(precision = 40, scale = 2))]
    amount: String,
}

struct Foreign;

#[derive(AvroSchema)]
struct Holder {
    foreign: Foreign,
}

fn main() {}
