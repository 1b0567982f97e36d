"""Hypothesis strategies for crontabs: jobs of every shape, settings, comments, and noise."""

from hypothesis import strategies as st

FIELD = st.sampled_from(
    [b"*", b"*/5", b"0", b"7", b"1-5", b"1,2", b"mon", b"fri-sun", b"5#1", b"~"]
)
BLANK = st.sampled_from([b" ", b"\t", b"  ", b" \t "])
WORD = st.sampled_from(
    [
        *(
            b"/opt/x",
            b"echo",
            b"cd",
            b"/srv",
            b"'a b'",
            b'"a b"',
            b'"$(date +\\%F)"',
            b"$X",
            b"\\%",
        ),
        *(
            b"it\\'s",
            b"'\\''",
            b"\\\\",
            b"`id`",
            b"a=1",
            b"X=2",
            b"[",
            b"]",
            b"{",
            b"}",
            b"!",
            b"if",
        ),
        *(
            b"fi",
            b"then",
            b"for",
            b"do",
            b"done",
            b"case",
            b"esac",
            b"#",
            b"#x",
            b"-n",
            b"2",
            b"\xff",
        ),
        *(
            b"crontify",
            b"exec",
            b"--",
            b"'",
            b'"',
            b"(",
            b")",
            b"$(",
            b"`",
            b"%",
            b"\\",
            b"\r",
            b"~",
        ),
        *(b"$'a\\'b'", b"<(x)", b"{a,b}", b"*.d", b"\xc3\xa9", b"${x:-y}", b"$((1+2))", b"time"),
    ]
)
OPERATOR = st.sampled_from(
    [b"&&", b"||", b";", b"|", b"&", b">f", b"> f", b"2>&1", b">>f", b"&>f", b"<f", b"<<<", b"2>f"]
)
COMMAND = st.lists(st.tuples(WORD | OPERATOR, st.sampled_from([b" ", b"", b"  "])), max_size=9).map(
    lambda parts: b"".join(word + blank for word, blank in parts)
)
SCHEDULE = st.one_of(
    st.tuples(*([FIELD] * 5)).map(b" ".join),
    st.sampled_from([b"@daily", b"@reboot", b"@every 1m", b"*\t*\t* *  *", b"* * * * * *"]),
)
JOB = st.tuples(st.sampled_from([b"", b" ", b"\t"]), SCHEDULE, BLANK, COMMAND).map(b"".join)
SETTING = st.sampled_from(
    [b"SHELL=/bin/bash", b"SHELL=/bin/sh", b"SHELL = fish", b"A=", b"*=*", b'"J K"=v', b"X='a' b"]
)
NOISE = st.binary(max_size=30).map(lambda data: data.replace(b"\n", b""))
COMMENT = st.sampled_from([b"# nightly dump", b"  # * * * * * x", b"", b"   ", b"\r"])
LINE = st.one_of(JOB, JOB, JOB, SETTING, COMMENT, NOISE)
CRONTAB = st.tuples(st.lists(LINE, max_size=8), st.sampled_from([b"\n", b""])).map(
    lambda parts: b"\n".join(parts[0]) + parts[1]
)
