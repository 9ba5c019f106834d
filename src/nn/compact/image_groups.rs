//! Groups of queries with the same image: what depends on the image alone is computed once for each group.

use tch::{Kind, Tensor};

/// The N queries of a batch in G groups of equal images.
pub(super) struct ImageGroups {
    /// Queries of each group, ascending; the groups in the order of their first queries.
    groups: Vec<Vec<i64>>,
    queries: usize,
}

impl ImageGroups {
    /// `first`: for each query the first one with the same image, itself if it is the first.
    pub fn new(first: &[usize]) -> ImageGroups {
        let mut groups: Vec<Vec<i64>> = Vec::new();
        for (query, &first) in first.iter().enumerate() {
            match groups.iter_mut().find(|g| g[0] == first as i64) {
                Some(group) => group.push(query as i64),
                None => groups.push(vec![query as i64]),
            }
        }
        ImageGroups { groups, queries: first.len() }
    }

    /// Queries of each group.
    pub fn groups(&self) -> &[Vec<i64>] {
        &self.groups
    }

    fn nothing_shared(&self) -> bool {
        self.groups.len() == self.queries
    }

    fn rows(t: &Tensor, rows: &[i64]) -> Tensor {
        match rows {
            [one] => t.narrow(0, *one, 1),
            _ => t.index_select(0, &Tensor::from_slice(rows).to_device(t.device())),
        }
    }

    /// The rows of the groups' first queries: `[N, ..]` / `[G, ..]`.
    pub fn once(&self, t: &Tensor) -> Tensor {
        if self.nothing_shared() {
            return t.shallow_clone();
        }
        ImageGroups::rows(t, &self.groups.iter().map(|g| g[0]).collect::<Vec<_>>())
    }

    /// For each query the row of its group: `[G, ..]` / `[N, ..]`.
    pub fn spread(&self, t: &Tensor) -> Tensor {
        if self.nothing_shared() {
            return t.shallow_clone();
        }
        let mut rows = vec![0; self.queries];
        for (n, group) in self.groups.iter().enumerate() {
            group.iter().for_each(|&query| rows[query as usize] = n as i64);
        }
        t.index_select(0, &Tensor::from_slice(&rows).to_device(t.device()))
    }

    /// Calls `join` with the shared row and the own rows of each group, and returns the results in the order of the
    /// queries. If no image is shared, it is called once with all rows.
    ///
    /// # Shapes
    /// `shared`: `[G, ..]`; `own`: `[N, ..]` / `[N, ..]`.
    pub fn join(&self, shared: &Tensor, own: &Tensor, join: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
        if self.nothing_shared() || self.groups.len() == 1 {
            return join(shared, own);
        }
        let part =
            |(n, group): (usize, &Vec<i64>)| join(&shared.narrow(0, n as i64, 1), &ImageGroups::rows(own, group));
        let parts: Vec<Tensor> = self.groups.iter().enumerate().map(part).collect();
        self.in_order(&parts)
    }

    /// Rows in the order of the groups, sorted into the order of the queries.
    pub fn in_order(&self, parts: &[Tensor]) -> Tensor {
        let all = Tensor::cat(parts, 0);
        let order: Vec<i64> = self.groups.iter().flatten().copied().collect();
        if order.is_sorted() {
            return all;
        }
        all.index_select(0, &Tensor::from_slice(&order).to_kind(Kind::Int64).argsort(0, false).to_device(all.device()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_return_to_the_order_of_the_queries() {
        let column = |v: &[f32]| Tensor::from_slice(v).view([-1, 1]);
        let values = |t: Tensor| Vec::<f32>::try_from(t.view([-1])).unwrap();
        // Queries 0, 2 and 4 have one image, 1 and 3 another.
        let groups = ImageGroups::new(&[0, 1, 0, 1, 0]);
        let own = column(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(values(groups.once(&own)), [1.0, 2.0]);
        assert_eq!(values(groups.spread(&column(&[10.0, 20.0]))), [10.0, 20.0, 10.0, 20.0, 10.0]);
        let sum = |shared: &Tensor, own: &Tensor| shared + own;
        assert_eq!(values(groups.join(&column(&[10.0, 20.0]), &own, sum)), [11.0, 22.0, 13.0, 24.0, 15.0]);
        let alone = ImageGroups::new(&[0, 1, 2, 3, 4]);
        assert_eq!(values(alone.join(&own, &own, sum)), [2.0, 4.0, 6.0, 8.0, 10.0]);
        let all = ImageGroups::new(&[0; 5]);
        assert_eq!(values(all.join(&column(&[10.0]), &own, sum)), [11.0, 12.0, 13.0, 14.0, 15.0]);
    }
}
