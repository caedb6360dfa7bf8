//! Finding the route of an event.

use super::pattern::Segment;
use std::collections::HashMap;

/// Routes by their segments; each node is visited once at most, however the event is named.
#[derive(Debug)]
pub(super) struct Tree<T> {
    words: HashMap<Box<str>, Tree<T>>,
    one: Option<Box<Tree<T>>>,
    tail: Option<T>,
    end: Option<T>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self {
            words: HashMap::new(),
            one: None,
            tail: None,
            end: None,
        }
    }
}

impl<T> Tree<T> {
    /// Adds a route; what was there before comes back.
    pub(super) fn insert(&mut self, segments: &[Segment], value: T) -> Option<T> {
        match segments {
            [] => self.end.replace(value),
            [Segment::Tail, ..] => self.tail.replace(value),
            [Segment::One, rest @ ..] => self.one.get_or_insert_default().insert(rest, value),
            [Segment::Word(word), rest @ ..] => {
                self.words.entry(word.clone()).or_default().insert(rest, value)
            }
        }
    }
    /// The route of an event.
    pub(super) fn find(&self, event: &str) -> Option<&T> {
        self.descend(Some(event))
    }
    fn descend(&self, event: Option<&str>) -> Option<&T> {
        let Some(event) = event else {
            return self.end.as_ref().or(self.tail.as_ref());
        };
        let (word, rest) = match event.split_once('.') {
            Some((word, rest)) => (word, Some(rest)),
            None => (event, None),
        };
        let by_word = || self.words.get(word)?.descend(rest);
        let by_one = || self.one.as_deref().filter(|_| !word.is_empty())?.descend(rest);
        by_word().or_else(by_one).or(self.tail.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::pattern::parse, *};
    use proptest::{collection::vec, prelude::*, sample::select};

    /// Whether segments match, by the definition alone.
    fn matches(route: &[Segment], event: &[&str]) -> bool {
        match (route, event) {
            ([], []) | ([Segment::Tail], _) => true,
            ([Segment::One, route @ ..], [word, event @ ..]) => !word.is_empty() && matches(route, event),
            ([Segment::Word(w), route @ ..], [word, event @ ..]) => &**w == *word && matches(route, event),
            _ => false,
        }
    }

    /// How exact a route is, segment by segment; an end comes before a tail.
    fn rank(route: &[Segment]) -> Vec<u8> {
        route
            .iter()
            .map(|segment| match segment {
                Segment::Word(_) => 1,
                Segment::One => 2,
                Segment::Tail => 3,
            })
            .collect()
    }

    fn routes() -> impl Strategy<Value = Vec<String>> {
        let segment = select(vec!["a", "b", "c", "*"]);
        let route = (vec(segment, 0..5), any::<bool>()).prop_map(|(mut segments, tail)| {
            if tail || segments.is_empty() {
                segments.push("#");
            }
            segments.join(".")
        });
        vec(route, 1..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn finds_what_the_definition_says(routes in routes(), event in vec(select(vec!["a", "b", "c", "d", ""]), 1..7)) {
            let mut tree = Tree::default();
            let mut parsed: Vec<_> = routes.iter().map(|route| parse(route).unwrap()).collect();
            for route in &parsed {
                tree.insert(route, route.clone());
            }
            parsed.retain(|route| matches(route, &event));
            let best = parsed.iter().min_by_key(|route| rank(route));
            prop_assert_eq!(tree.find(&event.join(".")), best, "{:?}", event);
        }
    }

    #[test]
    fn a_route_that_is_there_already_comes_back() {
        let mut tree = Tree::default();
        for route in ["a.b", "a.*", "a.#", "#"] {
            assert_eq!(tree.insert(&parse(route).unwrap(), 1), None, "{route}");
            assert_eq!(tree.insert(&parse(route).unwrap(), 2), Some(1), "{route}");
        }
        for wrong in ["", ".", "a.", ".a", "a..b", "#.a", "a*", "a.b#", "**"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_long_name_costs_no_more_than_the_routes_do() {
        let mut tree = Tree::default();
        for depth in 1..12 {
            for bits in 0..1u32 << depth {
                let segments: Vec<_> = (0..depth)
                    .map(|n| if bits >> n & 1 == 0 { "a" } else { "*" })
                    .collect();
                tree.insert(&parse(&(segments.join(".") + ".end")).unwrap(), ());
            }
        }
        // Ten million segments: neither the stack nor the clock notices.
        assert!(tree.find(&"a.".repeat(10_000_000)).is_none());
    }
}
