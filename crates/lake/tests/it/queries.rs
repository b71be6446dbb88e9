use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use causeway_lake::{Lake, SeriesFunction};
use causeway_model::{Caller, Query, QueryError, Table};

use crate::{DAY, NOW, all, append, ask, caller, open, options};

#[tokio::test(flavor = "multi_thread")]
async fn hot_rows_and_files_answer_alike() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    append(&lake, &[(NOW - DAY, "a", "old"), (NOW - 1, "a", "new")]).await;
    for step in 0..3 {
        assert_eq!(all(&lake, "SELECT body FROM logs ORDER BY time").await, ["old", "new"], "step {step}");
        assert_eq!(all(&lake, "SELECT count(*) FROM logs").await, ["2"]);
        assert_eq!(all(&lake, "SELECT body FROM logs WHERE attributes['k'] = 'new'").await, ["new"]);
        assert_eq!(all(&lake, "SELECT attributes['k'] FROM logs WHERE trace_id = 'old'").await, ["old"]);
        assert_eq!(all(&lake, "SELECT attributes['absent'] FROM logs WHERE trace_id = 'old'").await, [""]);
        let recent = "SELECT body FROM logs WHERE time > now() - interval '5 minutes'";
        assert_eq!(all(&lake, recent).await, ["new"], "now() is the lake's clock");
        let day = "SELECT body FROM logs WHERE time < TIMESTAMP '2026-11-22T00:00:00Z'";
        assert_eq!(all(&lake, day).await, ["old"]);
        assert_eq!(all(&lake, "SELECT body FROM logs ORDER BY time DESC LIMIT 1").await, ["new"]);
        assert_eq!(
            all(&lake, "SELECT a.body FROM logs a JOIN logs b ON a.trace_id = b.body WHERE b.body = 'old'")
                .await,
            ["old"]
        );
        assert_eq!(
            all(&lake, "SELECT attributes FROM logs WHERE body = 'old'").await,
            [r#"{"k":"old","other":"x"}"#]
        );
        assert_eq!(all(&lake, "SELECT name FROM spans").await, Vec::<String>::new());
        match step {
            0 => lake.flush().await.unwrap(),
            _ => append(&lake, &[]).await,
        }
    }
    append(&lake, &[(NOW, "a", "newest")]).await;
    assert_eq!(all(&lake, "SELECT body FROM logs ORDER BY time").await, ["old", "new", "newest"]);
    assert_eq!(all(&lake, "SELECT count(*) FROM (SELECT * FROM logs LIMIT 2)").await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_prune_files() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    append(&lake, &[(NOW - DAY, "a", "old"), (NOW, "a", "new")]).await;
    lake.flush().await.unwrap();
    let scanned = async |sql: &str| lake.sql(&caller(None), sql).await.unwrap().scanned_bytes;
    let both = scanned("SELECT * FROM logs").await;
    let one = scanned("SELECT * FROM logs WHERE time >= now() - interval '1 hour'").await;
    let none = scanned("SELECT * FROM logs WHERE time > now() + interval '1 hour'").await;
    assert!(none == 0 && one > 0 && one < both, "{none} {one} {both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_namespaces_do_not_exist_for_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    append(&lake, &[(NOW, "mine", "1"), (NOW, "theirs", "secret"), (NOW, "mine", "2")]).await;
    for _ in 0..2 {
        let mine: Option<&[&str]> = Some(&["mine"]);
        assert_eq!(ask(&lake, mine, "SELECT count(*) FROM logs").await.unwrap(), ["2"]);
        assert_eq!(ask(&lake, mine, "SELECT body FROM logs ORDER BY body").await.unwrap(), ["1", "2"]);
        for sql in [
            "SELECT body FROM logs WHERE namespace = 'theirs' OR true ORDER BY body",
            "SELECT body FROM logs WHERE CAST(body AS INT) > 0 ORDER BY body",
            "SELECT CAST(body AS INT) AS n FROM logs WHERE 10 / CAST(body AS INT) > 0 ORDER BY n",
            "SELECT a.body FROM logs a, (SELECT DISTINCT body FROM logs) b WHERE a.body = b.body ORDER BY 1",
        ] {
            assert_eq!(ask(&lake, mine, sql).await.unwrap(), ["1", "2"], "{sql}");
        }
        assert_eq!(ask(&lake, mine, "SELECT max(body) FROM logs").await.unwrap(), ["2"]);
        assert_eq!(ask(&lake, Some(&[]), "SELECT * FROM logs").await.unwrap(), Vec::<String>::new());
        assert_eq!(ask(&lake, Some(&[]), "SELECT count(*) FROM logs").await.unwrap(), ["0"]);
        assert_eq!(ask(&lake, None, "SELECT count(*) FROM logs").await.unwrap(), ["3"]);
        lake.flush().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_reading_statement_and_clear_errors() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    append(&lake, &[(NOW, "a", "x")]).await;
    for (sql, says) in [
        ("SELECT nope FROM logs", "nope"),
        ("SELECT * FROM nope", "the tables are logs, metrics, spans, events, findings, audit"),
        ("SELECT nope(1)", "nope"),
        ("SELEC 1", "SELEC"),
        ("", "No SQL"),
        ("SELECT 1; SELECT 2", "single"),
        ("DROP TABLE logs", "only reading"),
        ("CREATE TABLE t AS SELECT 1", "only reading"),
        ("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc'", "only reading"),
        ("INSERT INTO logs SELECT * FROM logs", "only reading"),
        ("DELETE FROM logs", "only reading"),
        ("COPY logs TO '/tmp/x.parquet'", "only reading"),
        ("SET datafusion.execution.batch_size = 1", "only reading"),
        ("SELECT * FROM '/etc/passwd'", "not found"),
    ] {
        match ask(&lake, None, sql).await {
            Err(QueryError::Invalid(text)) => assert!(text.contains(says), "{sql}: {text}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
    assert!(all(&lake, "SHOW TABLES").await.iter().any(|row| row.contains("|logs|")));
    assert_eq!(all(&lake, "SELECT 1").await, ["1"], "still answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_byte_budget_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    append(&lake, &[(NOW, "a", "x")]).await;
    lake.flush().await.unwrap();
    let poor = Caller { byte_budget: 10, ..caller(None) };
    match lake.sql(&poor, "SELECT * FROM logs").await {
        Err(QueryError::Budget { needed, budget: 10 }) => assert!(needed > 10),
        other => panic!("{other:?}"),
    }
    let answer = lake.sql(&poor, "SELECT * FROM metrics").await.unwrap();
    assert_eq!((answer.batches[0].num_rows(), answer.scanned_bytes), (0, 0));
    assert_eq!(
        answer.batches[0].schema().fields(),
        Table::Metrics.schema().fields(),
        "an empty answer has columns"
    );
}

/// Says how many points there were, and when the first was.
struct Count;

impl SeriesFunction for Count {
    fn name(&self) -> &'static str {
        "points"
    }
    fn schema(&self) -> SchemaRef {
        let fields = ["points", "first"].map(|name| Field::new(name, DataType::Int64, false));
        Arc::new(Schema::new(fields.to_vec()))
    }
    fn call(&self, series: &[(i64, f64)], arguments: &[String]) -> Result<RecordBatch, String> {
        if let [word] = arguments {
            return Err(format!("no {word}"));
        }
        let figures = [series.len() as i64, series.first().map_or(0, |point| point.0)];
        let columns = figures.map(|figure| Arc::new(Int64Array::from(vec![figure])) as ArrayRef);
        RecordBatch::try_new(self.schema(), columns.to_vec()).map_err(|error| error.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_take_the_series_of_any_statement() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.series_functions = vec![Arc::new(Count)];
    let lake = Lake::open(options).await.unwrap();
    append(&lake, &[(NOW, "mine", "1"), (NOW - 60_000_000, "theirs", "2"), (NOW, "mine", "3")]).await;
    let inner = "SELECT date_bin(INTERVAL ''1 minute'', time), count(*) FROM logs GROUP BY 1";
    let sql = format!("SELECT points FROM points('{inner}') WHERE first > 0");
    assert_eq!(all(&lake, &sql).await, ["2"]);
    let mine: Option<&[&str]> = Some(&["mine"]);
    let answer = lake.sql(&caller(mine), &sql).await.unwrap();
    assert!(format!("{:?}", answer.batches).contains('1'), "rows of other namespaces are in no series");
    assert!(answer.scanned_bytes > 0);
    for (sql, message) in [
        ("SELECT * FROM points()", "takes texts"),
        ("SELECT * FROM points(1)", "takes texts"),
        ("SELECT * FROM points('SELECT body, 1 FROM logs')", "a time and a number"),
        ("SELECT * FROM points('DELETE FROM logs')", "only reading"),
        ("SELECT * FROM points('SELECT time, 1 FROM logs', 'horizon')", "no horizon"),
        ("SELECT * FROM points('SELECT time, 1 FROM nowhere')", "the tables are"),
    ] {
        let error = lake.sql(&caller(None), sql).await.unwrap_err().to_string();
        assert!(error.contains(message), "{sql}: {error}");
    }
    let tight = Caller { byte_budget: 1, ..caller(None) };
    assert!(matches!(lake.sql(&tight, &sql).await, Err(QueryError::Budget { .. })));
}
